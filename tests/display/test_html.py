"""Objects in Jupyter are readable, and nothing in the data is markup."""

from __future__ import annotations

from quivo_frames.display.html import html_table


def test_a_table_has_a_title_a_header_and_right_aligned_numbers() -> None:
    shown = html_table("Two <tables>", [("orders", 1234567, 0.12345), ("<b>", None, 2)], ["table", "rows", "share"])
    assert shown.startswith("<p><b>Two &lt;tables&gt;</b></p><table><thead><tr><th style='text-align:left'>table</th>")
    assert "<td style='text-align:left'>orders</td><td style='text-align:right'>1,234,567</td>" in shown
    assert "<td style='text-align:right'>0.123</td>" in shown
    assert "<td style='text-align:left'>&lt;b&gt;</td><td style='text-align:right'>–</td>" in shown
    assert "<thead>" not in html_table("", [])
