"""The stories of the people who use govpay, each told in a real browser over the stack that `make up` starts.

One file a person, in the order of ``test_stories.py``. What they see is looked at (``visitor.py``) and kept as pictures
below ``var/stories/``; the guides in ``docs/`` show some of them, which `make pictures` takes anew.
"""
