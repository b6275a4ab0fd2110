"""What a page shows that is typed, and whether what comes out now is what it shows.

    for step in steps(section(page, 'Growing')):      # Step(machine='admin', command='millrace ...', shown=[lines])
        agree(step.shown, said.splitlines())          # None, or what the page has and the output has not

A command stands behind its machine's name and `$ `, indented by at least four; what follows, as far as it is indented, is what came out. `...` alone stands
for any lines, at the end of a line for the rest of it; a line of a log may go on in the next one, indented by two more. Compared is the shape: numbers, sizes,
times and ids are masked, spaces run together, empty lines do not count. What says which broker is meant stays: `broker 12`, `broker12:9092`."""
import re
from collections import namedtuple

Step = namedtuple('Step', 'machine command shown')
PROMPT = re.compile(r'( {4,})([a-z]+\d*)\$(?: (.*))?$')
ID = re.compile(r'(?<![\w-])(?=[\w-]*[A-Z0-9])[\w-]{22}(?![\w-])')
LOG_LINE = re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+Z ')
MASKS = [(ID, 'ID'),
         (re.compile(r'\d{4}-\d\d-\d\dT[\d:.]+Z'), 'TIME'),
         (re.compile(r'(?<![\w.])\d+(?:\.\d+)?[KMG](?!\w)'), 'SIZE'),  # of du and df
         (re.compile(r'(?<![\w.])(?<!roker )(?<!roker=)(?<!node )(?<!node=)(?<!leader=)-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\w)'), 'N'),
         (re.compile(r'\bN (?:B|KiB|MiB|GiB)\b'), 'SIZE'),
         (re.compile(r'\bN (?:ms|s|min)\b'), 'SPAN'),
         (re.compile(r'\b([\w.]+-N)(?:, \1)+'), r'\1'),          # partitions of one topic, however many
         (re.compile(r'\bN (\w+?)s?\b'), r'N \1'),               # 1 partition, 2 partitions
         (re.compile(r'\s+'), ' ')]


def section(page, heading):
    """The text below a heading, as far as the next one of its level or a higher one."""
    m = re.search(r'^(#+) %s\n' % re.escape(heading), page, re.M)
    assert m, 'no heading ' + heading
    rest = page[m.end():]
    end = re.search(r'^#{1,%d} ' % len(m.group(1)), rest, re.M)
    return rest[:end.start()] if end else rest


def steps(text):
    found, indent = [], None
    for line in text.split('\n'):
        m = PROMPT.match(line)
        if m:
            indent = len(m.group(1))
            if m.group(3):  # a prompt alone: nothing came out
                found.append(Step(m.group(2), m.group(3), []))
            else:
                indent = None
        elif indent is not None and line.strip():
            shown = found[-1].shown
            if line.startswith(' ' * (indent + 2)) and shown and LOG_LINE.match(shown[-1]):
                shown[-1] += ' ' + line.strip()
            elif line.startswith(' ' * indent):
                shown.append(line[indent:])
            else:
                indent = None
    return found


def shape(line):
    for pattern, mask in MASKS:
        line = pattern.sub(mask, line)
    return line.strip()


def line_agrees(shown, said):
    if shown.endswith(' ...'):
        return said.startswith(shown[:-4])
    return shown == said


def find(block, said, start, end):
    """Where a block of shown lines stands first in said[start:end], or None."""
    for at in range(start, end - len(block) + 1):
        if all(map(line_agrees, block, said[at:at + len(block)])):
            return at
    return None


def agree(shown, said):
    """None if it does. Else the block of shown lines, up to the next `...`, that is not there."""
    shown, said = [shape(x) for x in shown if x.strip()], [shape(x) for x in said if x.strip()]
    blocks = [[]]
    for line in shown:
        if line == '...':
            blocks.append([])
        else:
            blocks[-1].append(line)
    at = 0
    for i, block in enumerate(blocks):
        last = i == len(blocks) - 1
        if i == 0 and last:
            return None if len(block) == len(said) and find(block, said, 0, len(said)) == 0 else block or ['(nothing)']
        found = find(block, said, 0, min(len(said), len(block))) if i == 0 else \
            find(block, said, max(at, len(said) - len(block)), len(said)) if last and block else find(block, said, at, len(said))
        if found is None:
            return block
        at = found + len(block)
    return None


def learn(shown, said, ids):
    """Notes which id stands now where the page has another, of lines that agree."""
    for line in shown:
        if not ID.search(line):
            continue
        for other in said:
            if line_agrees(shape(line), shape(other)):
                ids.update(zip(ID.findall(line), ID.findall(other)))
                break


def with_ids(command, ids):
    return ID.sub(lambda m: ids.get(m.group(0), m.group(0)), command)
