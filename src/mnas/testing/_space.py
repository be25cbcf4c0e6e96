"""What every search space promises."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator

import pytest

from mnas.errors import SettingsError
from mnas.space import Architecture, Block, SearchSpace, Tokens
from mnas.testing._state import unchanged_global_state

_ENUMERABLE = 2000  # token tuples, up to which the number of distinct networks is checked by enumeration


class SpaceConformance:
    """Tests for a search space: subclass it and give `make`.

    class TestMySpace(SpaceConformance):
        def make(self):
            return MySpace()
    """

    samples = 30  # token tuples that a test draws

    def make(self) -> SearchSpace:
        """A new space, equal each time."""
        raise NotImplementedError("give make(self), which returns the space to test")

    def outsider(self) -> Architecture:
        """An architecture that is not a member; override it if this one is."""
        return Architecture((Block("conv", kernel=97, filters=1237),))

    def test_choices_are_named_once_and_have_options(self) -> None:
        """Each choice has a name of its own and at least one option, none of them twice; one is open."""
        choices = self.make().choices
        assert self.make().name
        assert len({choice.name for choice in choices}) == len(choices)
        for choice in choices:
            assert len(choice.options) >= 1
            assert all(choice.options.count(option) == 1 for option in choice.options)
        assert any(len(choice.options) > 1 for choice in choices), "there is nothing to search"

    def test_every_token_tuple_decodes(self) -> None:
        """Sampled tokens, the first and the last of all: each gives an architecture, the same each time."""
        space, again = self.make(), self.make()
        for tokens in self._token_tuples(space):
            architecture = space.decode(tokens)
            assert isinstance(architecture, Architecture)
            assert again.decode(tokens) == architecture

    def test_decode_undoes_encode(self) -> None:
        """decode(encode(a)) == a, and encode gives one canonical tuple per architecture."""
        space = self.make()
        for tokens in self._token_tuples(space):
            architecture = space.decode(tokens)
            canonical = space.encode(architecture)
            self._assert_in_range(space, canonical)
            assert space.decode(canonical) == architecture
            assert self.make().encode(Architecture.parse(str(architecture))) == canonical
            assert architecture in space

    def test_samples_are_in_range_and_seeded(self) -> None:
        """The same generator gives the same tokens; another gives others."""
        space = self.make()
        drawn = [
            [space.sample(generator) for _ in range(self.samples)] for generator in map(random.Random, (7, 7, 8))
        ]
        for tokens in drawn[0]:
            self._assert_in_range(space, tokens)
        assert drawn[0] == drawn[1]
        assert drawn[0] != drawn[2]

    def test_samples_reach_every_option(self) -> None:
        """Drawn often enough, every option of every choice comes up (missed by chance in one run of 10^9)."""
        space, generator = self.make(), random.Random(0)
        options = [len(choice.options) for choice in space.choices]
        # An option is missed n times with probability (1 - 1/options)^n < exp(-n / options).
        drawn = [space.sample(generator) for _ in range(round(30 * max(options)))]
        assert [len({tokens[i] for tokens in drawn}) for i in range(len(options))] == options

    def test_mutate_answers_exactly_one_choice_differently(self) -> None:
        """The mutant is in range, one token differs, and the same generator gives the same mutant."""
        space, generator = self.make(), random.Random(0)
        for seed in range(self.samples):
            tokens = space.sample(generator)
            mutant = space.mutate(tokens, random.Random(seed))
            self._assert_in_range(space, mutant)
            assert sum(a != b for a, b in zip(tokens, mutant, strict=True)) == 1
            assert space.mutate(tokens, random.Random(seed)) == mutant

    def test_global_state_is_left_alone(self) -> None:
        """Sampling and mutating draw from the generator that was given and no other."""
        space, generator = self.make(), random.Random(0)
        with unchanged_global_state():
            space.decode(space.mutate(space.sample(generator), generator))

    def test_bad_tokens_are_refused(self) -> None:
        """Too few, too many, below and above the range: SettingsError from decode and mutate."""
        space = self.make()
        good = (0,) * len(space.choices)
        bad = [(), (*good, 0), (-1, *good[1:]), (*good[:-1], len(space.choices[-1].options))]
        for tokens in bad:
            with pytest.raises(SettingsError):
                space.decode(tokens)
            with pytest.raises(SettingsError):
                space.mutate(tokens, random.Random(0))

    def test_outsiders_are_refused(self) -> None:
        """An architecture that is not a member: `in` says so, encode raises SettingsError."""
        space = self.make()
        assert self.outsider() not in space
        assert "no architecture" not in space
        with pytest.raises(SettingsError):
            space.encode(self.outsider())

    def test_sizes_are_consistent(self) -> None:
        """size counts token tuples, distinct_size different networks: never more, and exact where small."""
        space = self.make()
        product = 1
        for choice in space.choices:
            product *= len(choice.options)
        assert space.size() == product
        assert 1 <= space.distinct_size() <= product
        if product <= _ENUMERABLE:
            every = itertools.product(*(range(len(choice.options)) for choice in space.choices))
            assert space.distinct_size() == len({space.decode(tokens).id for tokens in every})

    def test_the_description_is_plain_json_and_stable(self) -> None:
        """describe() is the same for two spaces made alike, before and after use, and holds no NaN."""
        used, fresh = self.make(), self.make()
        before = json.dumps(used.describe(), sort_keys=True, allow_nan=False)
        used.encode(used.decode(used.sample(random.Random(0))))
        assert json.dumps(used.describe(), sort_keys=True, allow_nan=False) == before
        assert json.dumps(fresh.describe(), sort_keys=True, allow_nan=False) == before
        assert used.choices == fresh.choices

    def _token_tuples(self, space: SearchSpace) -> Iterator[Tokens]:
        yield (0,) * len(space.choices)
        yield tuple(len(choice.options) - 1 for choice in space.choices)
        generator = random.Random(0)
        for _ in range(self.samples):
            yield space.sample(generator)

    @staticmethod
    def _assert_in_range(space: SearchSpace, tokens: Tokens) -> None:
        assert isinstance(tokens, tuple)
        assert len(tokens) == len(space.choices)
        for token, choice in zip(tokens, space.choices, strict=True):
            assert isinstance(token, int)
            assert 0 <= token < len(choice.options), choice.name
