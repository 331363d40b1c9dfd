"""Makes the site: what is written and what is described in code becomes one folder of sources, then pages of HTML.

`places` says where a file of the project stands in the site, `sources` copies and generates, `conf.py` is Sphinx's, and
`links` looks at what came out.
"""
