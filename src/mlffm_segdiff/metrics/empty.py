"""The rule for empty masks, which all scores follow.

Ratios (precision, recall, specificity, Dice, Jaccard): for 0/0 the score is 1 if the two masks are equal and
0 otherwise. Therefore

- both masks empty: every ratio is 1;
- only one mask empty: Dice, Jaccard, precision and recall are 0, specificity keeps its formula;
- the truth covers the whole image: specificity is 1 for a prediction that also covers it, otherwise 0.

Contours (HD95, ASSD, boundary Dice): an empty mask has no contour, so

- both masks empty: the distances are 0 and the boundary Dice is 1;
- only one mask empty: the distances are the image's diagonal, sqrt(H^2 + W^2) pixels, more than between
  any two pixels (100 percent of it), and the boundary Dice is 0.
"""


def ratio(part: int, whole: int, equal: bool) -> float:
    """Return part / whole in [0, 1]; for 0/0, 1 if the masks are `equal`, otherwise 0."""
    return part / whole if whole else float(equal)
