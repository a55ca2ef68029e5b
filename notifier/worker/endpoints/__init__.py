"""How a worker behaves towards webhook endpoints, in the order in which a batch of webhooks meets it.

Reading order: `policy` (all of it) → `gate` (who is sent to at all) → `stragglers` (who is slow to answer) → `health`
(what the answers say) → `delay_buffer` (where the others wait). Batches of mails do not come here.
"""
