"""Colors and codes of the structures of a brain model.

Codes from DICOM PS3.16, CID 7140 (brain structures for volumetric measurement), CID 7150 (categories) and
CID 244 (laterality); colors as in FreeSurfer's color table, which neuroimagers know.
"""

ANATOMICAL_STRUCTURE = ["SCT", "123037004", "Anatomical Structure"]
BODY_SUBSTANCE = ["SCT", "91720002", "Body Substance"]
LEFT = ["SCT", "7771000", "Left"]
RIGHT = ["SCT", "24028007", "Right"]

_STRUCTURES = {  # left or middle label: color, code
    2: ((245, 245, 245), ["SCT", "68523003", "Cerebral White Matter"]),
    3: ((205, 62, 78), ["SCT", "40146001", "Cerebral Gray Matter"]),
    4: ((120, 18, 134), ["SCT", "66720007", "Lateral Ventricle"]),
    5: ((196, 58, 250), ["SCT", "53118009", "Inferior Horn of Lateral Ventricle"]),
    7: ((220, 248, 164), ["SCT", "33060004", "Cerebellar White Matter"]),
    8: ((230, 148, 34), ["SCT", "25991003", "Cerebellar Cortex"]),
    10: ((0, 118, 14), ["SCT", "119406000", "Thalamus"]),
    11: ((122, 186, 220), ["SCT", "11000004", "Caudate Nucleus"]),
    12: ((236, 13, 176), ["SCT", "89278009", "Putamen"]),
    13: ((12, 48, 255), ["SCT", "14738005", "Globus Pallidus"]),
    14: ((204, 182, 142), ["SCT", "49841001", "Third ventricle"]),
    15: ((42, 204, 164), ["SCT", "35918002", "Fourth Ventricle"]),
    16: ((119, 159, 176), ["SCT", "119238007", "Brain Stem"]),
    17: ((220, 216, 20), ["SCT", "5366008", "Hippocampus"]),
    18: ((103, 255, 255), ["SCT", "4958002", "Amygdala"]),
    24: ((60, 100, 160), ["SCT", "65216001", "Cerebrospinal fluid"]),
    26: ((255, 165, 0), ["SCT", "427667007", "Nucleus Accumbens"]),
    28: ((165, 42, 42), ["DCM", "110700", "Ventral Diencephalon"]),
}


def card_label(table, value: int) -> dict:
    """The entry of a model card for one structure of a `LabelTable`: value, name, color, terminology, mirror."""
    mirror = table.mirror_of_structure(value)
    color, code = _STRUCTURES[min(value, mirror)]
    side = None if value == mirror else (LEFT if value < mirror else RIGHT)
    category = BODY_SUBSTANCE if value == 24 else ANATOMICAL_STRUCTURE
    return {"value": value, "name": table.name_of_structure(value), "color": list(color), "mirror": mirror,
            "terminology": {"category": category, "type": code, "modifier": side}}
