"""Distillation: fine-tune a teacher, cut a student out of it, train the one on the other."""
