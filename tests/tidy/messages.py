#!/usr/bin/env python3
"""docs/MESSAGES.md: every log message of level warn and error, made from the source and from docs/messages.tsv.

    tests/tidy/messages.py            what is missing, stale or not written; exit 1 with one line each (tidy.py asks the same)
    tests/tidy/messages.py --write    writes docs/MESSAGES.md; fails as above

A message is a call of the logger (base/logger.h) whose level is, or may be, LOG_WARN or LOG_ERROR, or a GROUP_LINE_WARNING of the group coordinator.
Its name is the sentence in front of its first ` key=`, with `…` for what is filled in. messages.tsv has one row for each name: subsystem,
name, what it means, what to do. Two calls may say the same thing; then the row speaks for both. Whoever changes a sentence changes its row."""
import os
import re
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
ROWS, PAGE = os.path.join(ROOT, 'docs/messages.tsv'), os.path.join(ROOT, 'docs/MESSAGES.md')
FOLDERS = ['base', 'runtime', 'proto', 'storage', 'controller', 'broker', 'tools']
CALL = re.compile(r'\b(log_warn|log_error|log_write|log_limited|log_seldom|group_fx_line)\(')
LEVEL_AT = {'log_write': 1, 'log_limited': 2, 'log_seldom': 2, 'group_fx_line': 1}
HEAD = """# Messages

Every line that Millrace logs at level warn or error: what it means and what to do. Made by `tests/tidy/messages.py --write` from the
source and from messages.tsv; change those. `…` stands for what is filled in; the keys behind a sentence are in the order in which the line has them.
A line is `TIME LEVEL subsystem: sentence key=value ...`. What a peer can cause is limited to so many lines a second (or one a minute); the
next line that passes says how many were left out.
"""


def arguments(text, i):
    """The arguments of a call whose opening parenthesis ends at i, split at its own commas."""
    depth, out, cur = 1, [], ''
    while depth:
        ch = text[i]
        if ch == '"':
            j = i + 1
            while text[j] != '"':
                j += 2 if text[j] == '\\' else 1
            cur, i = cur + text[i:j + 1], j + 1
            continue
        depth += (ch in '([{') - (ch in ')]}')
        if depth == 0 or (ch == ',' and depth == 1):
            out.append(cur.strip())
            cur = ''
        else:
            cur += ch
        i += 1
    return out


def sentence_of(argument):
    """The text of adjacent literals; macros of widths between them are part of a conversion."""
    text = ''.join(re.findall(r'"((?:\\.|[^"\\])*)"', argument))
    text = re.sub(r'%[-+ #0]*[*\d]*(?:\.[*\d]+)?(?:hh|h|ll|l|z|j)?[diuxXscpfeg]?', '…', text)
    return text.replace('\\"', '"')


def split(sentence):
    """(the name, the keys)"""
    m = re.search(r'(?:^|\s)\w+=', sentence)
    name = sentence[:m.start()] if m else sentence
    return name.strip(), re.findall(r'(?:^|\s)(\w+)=', sentence[len(name):])


def messages_of(path):
    text = open(path, encoding='utf-8').read()
    for m in CALL.finditer(text):
        args = arguments(text, m.end())
        call = m.group(1)
        level = call[4:].upper() if call in ('log_warn', 'log_error') else args[LEVEL_AT[call]]
        level = 'error' if 'ERROR' in level else 'warn' if 'WARN' in level else None
        if level is None or 'const char *fmt' in args:
            continue
        rest = args[1 if call in ('log_warn', 'log_error') else LEVEL_AT[call] + 1:]
        subsystem = 'group' if call == 'group_fx_line' else rest.pop(0).strip('"')
        yield (subsystem,) + split(sentence_of(rest[0])) + (level, '%s:%d' % (os.path.relpath(path, ROOT), text.count('\n', 0, m.start()) + 1))


def messages():
    """(subsystem, name) to [level, keys, places]"""
    out = {}
    for folder in FOLDERS:
        for d, _, names in sorted(os.walk(os.path.join(ROOT, folder))):
            for n in sorted(names):
                for subsystem, name, keys, level, place in messages_of(os.path.join(d, n)) if n.endswith('.c') else ():
                    have = out.setdefault((subsystem, name), [level, keys, []])
                    have[0] = 'error' if 'error' in (level, have[0]) else level
                    have[1] = max(keys, have[1], key=len)
                    have[2].append(place)
    return out


def rows(found):
    out = {}
    for i, line in enumerate(open(ROWS, encoding='utf-8').read().splitlines(), 1):
        cells = line.split('\t')
        if line.startswith('#'):
            continue
        if len(cells) != 4 or not all(c.strip() for c in cells):
            found.append('docs/messages.tsv:%d: a row is subsystem, message, meaning, action' % i)
        elif tuple(cells[:2]) in out:
            found.append('docs/messages.tsv:%d: twice: %s' % (i, cells[1]))
        else:
            out[tuple(cells[:2])] = cells[2:]
    return out


def page(have, told):
    out, last = [HEAD], None
    for key in sorted(have):
        if key not in told:
            continue
        level, keys, _ = have[key]
        if key[0] != last:
            out.append('\n## %s\n\n| level | message | meaning | what to do |\n|---|---|---|---|\n' % key[0])
            last = key[0]
        shown = ' '.join([key[1]] + ['%s=…' % k for k in keys]).strip().replace('|', '\\|')
        out.append('| %s | `%s` | %s | %s |\n' % (level, shown, *(t.replace('|', '\\|') for t in told[key])))
    return ''.join(out)


def check(write=False):
    """Findings, one line each."""
    found = []
    have, told = messages(), rows(found)
    for key in sorted(have):
        if key not in told:
            found.append('%s: docs/messages.tsv has no row for this message: %s\t%s' % (have[key][2][0], *key))
    found += ['docs/messages.tsv: no such message is logged: %s\t%s' % key for key in sorted(told) if key not in have]
    text = page(have, told)
    if write:
        with open(PAGE, 'w', encoding='utf-8') as f:
            f.write(text)
    elif not os.path.exists(PAGE) or open(PAGE, encoding='utf-8').read() != text:
        found.append('docs/MESSAGES.md is not what the source and docs/messages.tsv say: tests/tidy/messages.py --write')
    return found


if __name__ == '__main__':
    problems = check('--write' in sys.argv[1:])
    print('\n'.join(problems) or 'messages: nothing to report')
    sys.exit(bool(problems))
