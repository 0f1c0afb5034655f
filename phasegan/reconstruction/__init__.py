"""Methods that answer: which image has this phase spectrum?"""
