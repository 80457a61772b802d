"""Files of many formats to text, with the place in the original that each stretch comes from."""
