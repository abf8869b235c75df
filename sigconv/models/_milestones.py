"""Depth against error on ImageNet, year by year, as data (AR24), with the lectures' slips put right (E12, E14, E15)."""

from __future__ import annotations

from typing import NamedTuple


class Milestone(NamedTuple):
    """A row: layers are those with weights on the longest way through; top5 is the error on ImageNet, in percent.

    single is that of one network, where the row's figure is an ensemble's; model builds it here, as a word for build.
    """

    name: str
    year: int
    layers: int
    top5: float
    single: float | None
    model: str | None
    note: str


MILESTONES = (
    Milestone(
        *("before 2012", 2011, 5, 25.8, None, None),
        "layers at most; the winner of 2011 was no network. Those are older: Neocognitron 1980, TDNN 1987, LeCun 1989",
    ),
    Milestone(
        *("AlexNet", 2012, 8, 15.3, 18.2, "alexnet"),
        "seven networks, two of them pretrained: 15.4 on validation, 15.3 on test; rectifiers are older than it",
    ),
    Milestone(
        *("ZFNet", 2013, 8, 14.8, None, "zfnet"),
        "six networks on test; the winning entry of the same year, Clarifai, had 11.7, and 11.2 with more data",
    ),
    Milestone(
        *("VGG", 2014, 19, 7.3, None, "vgg:E"),
        "the submission, an ensemble; 6.8 after it; columns D (16 layers) and E (19) are within 0.1 of each other",
    ),
    Milestone(*("GoogLeNet", 2014, 22, 6.7, None, "googlenet"), "seven networks"),
    Milestone(
        *("ResNet", 2015, 152, 3.57, None, "resnet:152"),
        "six networks; a person who had trained for it made about 5.1, so this is below, not at, that level",
    ),
)
