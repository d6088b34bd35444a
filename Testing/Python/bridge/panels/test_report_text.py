"""Reports in plain words: figures that are there, none that are not, nothing taken for HTML, no warning twice."""


from meddl_slicer.panels.report_text import registration_text, series_text, super_resolution_text

REPORT = {
    "seconds": {"prepare": 1.0, "affine": 2.25, "tiny": 0.01}, "device": "cpu", "peak_memory_mb": 812.3,
    "metric": {"name": "nmi", "before": 1.05, "after": 1.2345}, "overlap": 0.87, "rotation_deg": 12.34,
    "translation_mm": [1.0, -2.5, 30.0], "landmarks_mm": {"before": 8.0, "after": 0.5}, "folding_percent": 0.0,
    "dice": {"before": 0.5, "after": 0.91},
    "tre_mm": {"before": {"mean": 5.0, "max": 9.0}, "after": {"mean": 0.4, "max": 1.0}, "points": 4},
    "inverse_error_mm": {"mean": 0.001, "max": 0.02}, "warnings": ["a < b"]}


def test_a_registration_says_what_it_reached():
    text = registration_text(REPORT)
    for part in ("Similarity (Normalized MI)", "1.050 before, 1.234 after", "87 %", "12.3 degrees",
                 "R 1.0, A -2.5, S 30.0 mm", "8.00 mm before, 0.50 mm after", "0.500 before, 0.910 after",
                 "5.00 mm before, 0.40 mm after", "0.020 mm", "0.000 %", "812 MB", "3.3 s (prepare 1.0, affine 2.2)"):
        assert part in text, part
    assert "tiny" not in text and "a &lt; b" not in text  # the banner has the warnings


def test_what_was_not_measured_is_not_mentioned():
    text = registration_text({"metric": {"name": "nmi", "before": 1.0, "after": 1.1}})
    assert "Dice" not in text and "Folded" not in text and "None" not in text and "Time" not in text


def test_a_super_resolution_says_what_it_did():
    text = super_resolution_text({"method": "cubic", "factors": [1, 1, 4.0], "seconds": {"total": 2.0, "x": 1.5},
                                  "noise_sigma": [3.25], "residual": 2.0, "residual_over_noise": 0.615,
                                  "profile": "gaussian", "psnr_db": 31.25, "ssim": None,
                                  "spacing_mm": {"before": [1, 1, 4.0], "after": [1, 1, 1]}})
    assert "cubic" in text and "1 × 1 × 4 mm" in text and "2.0 s (x 1.5)" in text
    assert "0.61 × the noise" in text or "0.62 × the noise" in text
    assert "31.25 dB" in text and "SSIM" not in text and "Gaussian" in text and "3.250" in text
    assert "corrected" not in text and "held out" not in text
    learned = super_resolution_text({"thickness_share": 0.85, "held_out_psnr_db": {"before": 30.0, "after": 30.5}})
    assert "85 %" in learned and "30.00 dB" in learned and "30.50 dB" in learned


def test_a_time_series_tells_its_motion_and_what_was_gained():
    text = series_text({"framewise_displacement_mm": [0.0, 1.0, 3.0], "temporal_sd": {"before": 9.0, "after": 2.5},
                        "metric": [None, {"before": 1.0, "after": 1.1}, None], "warnings": ["Frame 2: far"]})
    assert ">3<" in text and "2.00 mm" in text and "3.00 mm" in text
    assert "9.00 before, 2.50 after" in text and "Frame 2" not in text
    assert "Motion" not in series_text({})
