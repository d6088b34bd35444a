"""The field's words: what MedDL's names, docstrings, texts and pages do not say, with what the field says instead."""

import re

NOT_IN_NAMES = {
    "laid", "lay", "lays",           # registered
    "vote", "voted", "voting",       # label fusion; "votes" are counted in it
    "fluid", "fluids",               # CSF
    "evidence",                      # likelihood
    "capture", "captured",           # large-displacement search
    "pull",                          # landmark term
    "sight",                         # validity mask
    "sides",                         # fixed and moving image
    "comparisons",                   # similarity
    "bends", "bent",                 # deforms
    "judge", "likeness",             # score, overlap
    "makers",                        # reference implementation
    "wishes",                        # requested outputs
    "products",                      # results
    "carried", "carries",            # transformed, resampled, warped
    "carry",
    "narrowed", "tuned", "watched", "limited",  # functions are verbs
    "person",                        # the user
    "fact", "facts",                 # metadata, figures
    "share", "shares",               # fraction, probability, weight
    "places",                        # coordinates, indices, positions
    "answer", "answers", "answered",  # output, prediction, result
    "told", "tell", "tells",         # reported
    "kept",                          # in the buffer pool
    "enough",                        # early stop
    "apart",                         # separate
    "wish", "wished",                # requested
}
NOT_IN_TEXTS = NOT_IN_NAMES - {"kept", "enough", "apart", "share", "places"} | {"invented", "persons"}
# In docstrings, words have their everyday meanings too; what is left out here has one that the field has no word for.
NOT_IN_DOCSTRINGS = NOT_IN_TEXTS - {"lay", "lays", "narrowed", "products", "sides", "shares"} | {
    "share of", "shares of"}
# Pages speak to users; of the words above, these have an everyday meaning there.
NOT_ON_PAGES = NOT_IN_TEXTS - {"answer", "limited", "narrowed", "products", "tell", "tells", "tuned"} | {
    "share of", "shares of", "maker"}
# Where a word is the field's own, or an object of the words' other meaning.
FIELD_OWN = ("fluid-like regularization", "fine-tuned", "capture range", "rate-limited")


def words_of(name: str) -> set[str]:
    """The words that a name in snake case or camel case is made of, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def offending(text: str, words: set[str] = NOT_IN_TEXTS) -> set[str]:
    """The words, and expressions of several words, that a text should not have."""
    for allowed in FIELD_OWN:
        text = text.replace(allowed, "")
    found = re.findall(r"[a-z]+", text.lower())
    pairs = {" ".join(pair) for pair in zip(found, found[1:], strict=False)}
    return (set(found) | pairs) & words
