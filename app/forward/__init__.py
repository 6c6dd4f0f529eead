"""Push events to one receiver: `audit-gateway forward`.

`forwarder` moves pages to a `target`; the cursor in the `checkpoint` file moves only after the receiver accepted a
page. Of the gateway the package needs only an error type: pages come from a function that the command passes in.
"""
