"""LiteRT files (.tflite), through litert-torch."""

from __future__ import annotations

from collections.abc import Sequence

from mnas.export._decoded_detector import Convertible
from mnas.export._onnx import Array
from mnas.export._pt2e import example, exported, named_failures, quantized, suited


def litert_model(network: Convertible, calibration: Sequence[Array] | None = None) -> bytes:
    """A .tflite file's bytes: fp32, or int8 by what tensors are on the calibration's inputs.

    The network is in evaluation mode; the inputs are as those of `onnx_int8_model`. In int8 the file's input and
    output are int8 too, as apps have it; their scales are in the file. A `DecodedDetector`'s outputs are float32.

    Raises:
        ExportError: LiteRT cannot convert it.
    """
    with named_failures("litert"):
        import litert_torch
        from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
        from litert_torch.quantize.quant_config import QuantConfig

        program = exported(network)
        if calibration is None:
            return bytes(litert_torch.convert(program.module(), example(network)).model_content())
        settings = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False)
        quantizer = PT2EQuantizer().set_global(settings)
        module = quantized(program, suited(quantizer, network), calibration, fold=False)
        config = QuantConfig(pt2e_quantizer=quantizer)
        return bytes(litert_torch.convert(module, example(network), quant_config=config).model_content())
