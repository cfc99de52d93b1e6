"""What the panel says about each preset, in the language of the application."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..presets import read_preset


def preset_title(name: str) -> str:
    """A few words for a list of presets; those of the preset's file where it is unknown here."""
    titles = {
        "generic": _("Any CT or MR pair"),
        "abdomen-ct": _("Abdominal CT"),
        "brain-mr": _("Brain MR"),
        "ct-mr": _("CT and MR of one patient"),
        "fast": _("Fast look"),
        "liver-mr": _("Liver MR"),
        "lung-ct": _("Lung CT"),
    }
    return titles.get(name) or read_preset(name).title


def preset_description(name: str) -> str:
    """What the preset is for; as the preset's file says where it is unknown here."""
    descriptions = {
        "generic": _("A safe start for two volumes of the same body region, of the same or different contrast."),
        "abdomen-ct": _(
            "CT of the abdomen in another phase, breath or day. Soft-tissue window; padding of -2048 HU is ignored."
        ),
        "brain-mr": _("T1 brains of two persons or two dates, best without the skull."),
        "ct-mr": _("Volumes of different modality, compared by local structure (MIND-SSC) instead of gray values."),
        "fast": _("A coarser grid and one direction only: a first look, or a weak computer."),
        "liver-mr": _("MR of the liver through the breathing cycle, thin stacks of thick slices included."),
        "lung-ct": _("CT of the chest at two breaths or two dates. Lung window; padding of -2048 HU is ignored."),
    }
    return descriptions.get(name) or read_preset(name).description
