"""Push events to one receiver: `audit-gateway forward`.

`forwarder` moves pages to a `target`; the cursor in the `checkpoint` file moves only after the receiver accepted a page.
The package depends on nothing of the gateway but its error type: pages come from a function that the command passes in.
"""
