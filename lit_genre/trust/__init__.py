"""Check checkpoints, run folders and exported folders that another person may have written.

Such a file contains data: numbers, text, and names of classes. SECURITY.md has the rules:

- `plain` reads YAML and JSON into plain data of bounded size, and only from regular files inside the folder.
- `classes` decides which class a file may name for which part of a run, without importing any module for it.
- `arguments` decides which values a file may give to such a class: no code, and no files or addresses of its choice.
- `hyperparameters` checks what a checkpoint stores about its model, and its weights.
- `recipe` checks the configuration of a run folder.
- `signature` signs the configurations that this account writes: these may name files and folders.

The options that the user types, and a YAML file that the user names with `--config`, are not checked here.
"""
