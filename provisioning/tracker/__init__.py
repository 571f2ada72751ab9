"""What a tracker is asked and what it answers, pure: parameters, the language of its SMS, and normalized input."""
