"""Who plays: a player with its hands, keyboard and conductor's baton; bands beside each other."""
