"""How the kit's small models were made: corpus, training and measurement. Nothing here runs when serving."""
