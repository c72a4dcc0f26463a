"""The benchmark's parts: tasks, contestants, their environments and runs, scores, tables and plots."""
