"""Pages for people, `/` and `/review`, and the HTTP API that they use. Needs the extra `serve`.

```python
with ReviewStore("reviews.db") as store:
    app = create_app_with_pages({"complaints": extractor}, ServerConfig(), store, review_below=0.8)
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from extractft.lazy_names import lazy_names

if TYPE_CHECKING:
    from extractft.pages.doubtful_answers import DoubtfulAnswers
    from extractft.pages.page_files import create_app_with_pages, page_routers
    from extractft.pages.review_api import review_router

_MODULES = {
    "DoubtfulAnswers": "doubtful_answers",
    "create_app_with_pages": "page_files",
    "page_routers": "page_files",
    "review_router": "review_api",
}
"""The module of each public name."""

__all__ = ["DoubtfulAnswers", "create_app_with_pages", "page_routers", "review_router"]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
