"""Texts in, texts with some words in other languages out, for perturbed queries and for training on mixed texts."""

import random
from collections.abc import Sequence

from retrieval.dictionary import WORD, Dictionary
from retrieval.perturb.graphemes import clusters, holds_together
from retrieval.perturb.perturbation import Perturbation

SHARE = 0.3


def code_switching(
    dictionary: Dictionary, targets: Sequence[str] | None = None, share: float = SHARE, name: str = "code_switching"
) -> Perturbation:
    """The perturbation of `code_switched`; texts without any word in the dictionary stay."""
    meaning = f"{share:.0%} of the words in another language" if not targets else f"words in {', '.join(targets)}"
    return Perturbation(
        name, meaning, lambda text, language, rng: code_switched(text, language, dictionary, rng, targets, share)
    )


def code_switched(
    text: str,
    language: str,
    dictionary: Dictionary,
    rng: random.Random,
    targets: Sequence[str] | None = None,
    share: float = SHARE,
) -> str:
    """A text with some of its words replaced by their translations, each into a language drawn for it.

    Args:
        text: in `language`.
        language: its code, as the dictionary has it.
        dictionary: word translations.
        rng: source of chance.
        targets: languages to draw from; all that the dictionary has for this one where none are named.
        share: of the words that have a translation, so many are replaced (rounded, at least one).
    """
    choices = []
    for match in WORD.finditer(text):
        known = dictionary.translations(match[0], language)
        found = [known[target] for target in targets or known if target in known]
        found = [translation for translation in found if translation.lower() != match[0].lower()]
        if found:
            choices.append((match, found))
    if not choices:
        return text
    chosen = sorted(rng.sample(range(len(choices)), max(1, round(share * len(choices)))))
    parts: list[str] = []
    end = 0
    for number in chosen:
        match, found = choices[number]
        parts += [*clusters(text[end : match.start()]), *clusters(_cased_like(match[0], rng.choice(found)))]
        end = match.end()
    parts += clusters(text[end:])
    return "".join(parts) if holds_together(parts) else text


def _cased_like(word: str, translation: str) -> str:
    return translation[0].upper() + translation[1:] if word[0].isupper() else translation
