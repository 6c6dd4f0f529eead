"""Push events to one receiver: `audit-gateway forward`.

`forwarder` moves pages to a `target`; the cursor in the `checkpoint` file moves only after the receiver has accepted a
page. The command passes in the function that returns pages.
"""
