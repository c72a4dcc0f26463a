"""JSON of which there is one text only."""

from __future__ import annotations

import json


def canonical(document: object) -> bytes:
    """Keys sorted, no blanks, floats as short as they can be read back, UTF-8.

    >>> canonical({"b": 0.1, "a": [1, None]})
    b'{"a":[1,null],"b":0.1}'
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
