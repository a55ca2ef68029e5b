"""How much of everything so many deliveries a day need: `costs` of one delivery as measured, `estimate` for a load."""
