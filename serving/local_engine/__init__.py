"""A CPU model server that speaks TGI's protocol for text and TEI's for vectors. See README.md beside this file."""
