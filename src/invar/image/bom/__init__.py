"""The software bill of materials of an image: its packages, where they come from, and under which licences they are."""
