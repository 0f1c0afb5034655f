"""The adversarial step, the loop around it, and runs that can be continued."""
