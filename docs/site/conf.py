"""The settings of Sphinx: the extensions that make the site; nothing of it comes from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import quivo_frames
from docs.site.api_pages import FOREIGN_NAMES, link_bare_name, mark_indented_blocks, mend_definitions
from docs.site.command_pages import mark_examples

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "quivo_frames"
author = copyright = "quivo_frames contributors"  # noqa: A001 - the name is Sphinx's
version = release = quivo_frames.__version__
language = "en"
smartquotes = False  # -- begins an option
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "sphinx_click", "sphinx_copybutton"]

html_theme = "furo"
html_title = f"quivo_frames {version}"
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False

suppress_warnings = ["misc.highlighting_failure"]  # a language without colours is no flaw
nitpicky = True
nitpick_ignore_regex = [("py:.*", FOREIGN_NAMES)]
default_role = "code"  # `name` in a docstring is a name, as in Markdown
napoleon_numpy_docstring = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
maximum_signature_line_length = 80
add_module_names = False
python_use_unqualified_type_names = True

myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # they were run before, once, as tests run them
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # it would come from elsewhere
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True


def setup(app: Sphinx) -> None:
    """Let examples in docstrings and in the help of a command be code."""
    app.connect("autodoc-process-docstring", mark_indented_blocks, priority=400)  # before napoleon
    app.connect("missing-reference", link_bare_name)
    app.connect("html-page-context", mend_definitions)
    app.connect("sphinx-click-process-description", mark_examples)
