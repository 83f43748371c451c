"""Distillation: fine-tune a teacher, initialise a student from it, and train the one on the other."""
