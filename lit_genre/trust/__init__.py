"""Decides what a checkpoint, a run folder or an exported folder may make this program do.

Such a file may come from a stranger. It holds data: numbers, text, and the names of classes. SECURITY.md has the rules:


- `plain` reads YAML and JSON into plain data of bounded size, and only from regular files inside the folder.
- `classes` decides which class a file may name in which place; nothing is imported to find out.
- `arguments` decides which values a file may give to such a class: no code, no files or addresses of its choice.
- `hyperparameters` checks what a checkpoint stores about its model, and its weights.
- `recipe` checks the configuration of a run folder.
- `signature` marks the configurations that this account wrote: these may name files and folders.

What the user types, and a YAML file that the user names with `--config`, is not checked here.
"""
