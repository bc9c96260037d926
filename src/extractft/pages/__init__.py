"""Pages for people, `/` and `/review`, and the HTTP API that they use. Needs the extra `serve`.

```python
with ReviewStore("reviews.db") as store:
    app = create_app(extractors, routers=page_routers(store))
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.pages.doubtful_answers import DoubtfulAnswers
    from extractft.pages.page_files import page_routers
    from extractft.pages.review_api import review_router

_MODULES = {"DoubtfulAnswers": "doubtful_answers", "page_routers": "page_files", "review_router": "review_api"}
"""The module of each public name."""

__all__ = ["DoubtfulAnswers", "page_routers", "review_router"]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
