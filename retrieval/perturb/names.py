"""Names of the perturbations, for configurations; light to import."""

from typing import Literal

PerturbationName = Literal[
    "typing_noise", "no_diacritics", "lower_case", "upper_case", "script_variant", "code_switching"
]
