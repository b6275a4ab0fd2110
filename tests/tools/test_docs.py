"""The words of the pages that a newcomer and an operator type from: every `millrace TOOL` and every --option in them exists (by --help of the binary),
every link and every file that they name is there, and the index of docs/ has every page."""
import glob
import os
import re

import pytest
from node import ROOT, millrace

TYPED = ['README.md', 'docs/OPERATIONS.md', 'docs/TOUR.md', 'deploy/README.md']
PAGES = sorted(os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(ROOT, '*.md')) + glob.glob(os.path.join(ROOT, '*/README.md')) +
               glob.glob(os.path.join(ROOT, 'docs/**/*.md'), recursive=True))
END_OF_COMMAND = re.compile(r'\s(?:[|;&<]|\d?>|#)|[;)]')
CALL = re.compile(r'(?:^|[\s;|&(`])(?:\S*/)?(?:millrace|kafka-([a-z-]+)\.sh) +(\S.*)')


def page(name):
    with open(os.path.join(ROOT, name), encoding='utf-8') as f:
        return f.read()


def code(text):
    """The lines of a page that are code: indented by four, or between fences; and each `span` of the others."""
    fenced, out = False, []
    for line in re.sub(r' *\\\n *', ' ', text).splitlines():
        if line.lstrip().startswith('```'):
            fenced = not fenced
        elif fenced or line.startswith('    '):
            out.append(line)
        else:
            out += re.findall(r'`([^`]+)`', line)
    return out


def commands(text):
    """(words, options) of every call of a tool: the one or two words behind `millrace`, and its --options."""
    found = []
    for line in code(text):
        at = 0
        while (m := CALL.search(line, at)):
            at = m.end(1) if m.group(1) else m.start(2)
            call = END_OF_COMMAND.split(m.group(2), maxsplit=1)[0]
            words = [m.group(1)] if m.group(1) else []
            for w in call.split():
                if len(words) == 2 or not re.fullmatch(r'[a-z][a-z0-9-]*', w):
                    break
                words.append(w)
            if words:
                found.append((words, re.findall(r'(?:^|\s)(--[a-z][a-z0-9-]*)', call)))
    return found


@pytest.fixture(scope='module')
def helps():
    """What --help says of a tool, and of its command where that has a text of its own; None: there is no such tool."""
    seen = {}
    tools = set(re.findall(r'^  ([a-z][a-z0-9-]*)\s', millrace('help')[1], re.M)) | {'help', 'version'}
    assert 'topics' in tools and 'server' in tools

    def ask(words):
        if words[0] not in tools:
            return None
        for n in range(1, len(words) + 1):
            key = tuple(words[:n])
            if key not in seen:
                status, out, _ = millrace(*key, '--help')
                seen[key] = out if status == 0 else ''
        return ''.join(seen[tuple(words[:n])] for n in range(1, len(words) + 1))
    return ask


def wrong(text, ask):
    bad = []
    for words, options in commands(text):
        known = ask(words)
        if known is None:
            bad.append('no tool: millrace ' + words[0])
        else:
            bad += ['no option of millrace %s: %s' % (' '.join(words), o) for o in options
                    if o not in ('--help', '--version') and not re.search(re.escape(o) + r'(?![a-z0-9-])', known)]
    return bad


def test_what_is_wrong_is_found(helps):
    right = '    millrace topics --list   # --no-option\n\n`millrace storage admit-voter --voter 3`\n\n    seq 3 | kafka-topics.sh --list > --out\n'
    assert wrong(right, helps) == []
    assert len(commands(page('docs/OPERATIONS.md'))) > 10
    assert commands(right)[1] == (['storage', 'admit-voter'], ['--voter'])
    assert wrong('    build/millrace topics --lsit\n', helps) == ['no option of millrace topics: --lsit']
    assert wrong('Use `millrace topcis --list`.\n', helps) == ['no tool: millrace topcis']
    assert wrong('```\ntrue; millrace topics \\\n  --partition 3\n```\n', helps) == ['no option of millrace topics: --partition']
    assert wrong('    kafka-topcis.sh --list\n', helps) == ['no tool: millrace topcis']


@pytest.mark.parametrize('name', TYPED)
def test_every_command_exists(name, helps):
    assert wrong(page(name), helps) == []


def tools_with_help():
    """Every tool of `millrace help`, and the commands of storage, which have a --help of their own. version takes nothing."""
    tools = [t for t in re.findall(r'^  ([a-z][a-z0-9-]*)\s', millrace('help')[1], re.M) if t != 'version']
    return tools + ['storage ' + c for c in sorted(set(re.findall(r'millrace storage ([a-z-]+)', millrace('storage', '--help')[1])))]


def examples(text):
    """The lines between `Examples:` and the next blank one."""
    m = re.search(r'^Examples?:\n((?:  .*\n)+)', text, re.M)
    return m.group(1) if m else ''


TOOLS = tools_with_help()


@pytest.mark.parametrize('tool', TOOLS)
def test_help_is_by_example(tool, helps):
    """Each has examples, of each of its commands, with options that there are."""
    status, out, err = millrace(*tool.split(), '--help')
    assert (status, err) == (0, '')
    shown = re.sub(r'(?m)^ *', '    ', re.sub(r'(?m)^ *docker run .*\n', '', examples(out)))  # which names an image
    called = commands(shown)
    assert called and wrong(shown, helps) == []
    assert any(words[:len(tool.split())] == tool.split() for words, _ in called), called
    listed = re.search(r'^Commands:\n((?:  .*\n)+)', out, re.M)
    for command in re.findall(r'^  ([a-z][a-z-]*)\b(?!.*not served)', listed.group(1), re.M) if listed else ():
        assert re.search(r'millrace %s (.* )?%s\b' % (tool, command), shown), command


def test_the_help_of_every_tool_is_looked_at():
    assert {'balance', 'broker', 'health', 'container', 'decode', 'simulate', 'server', 'cluster', 'storage format', 'storage info', 'storage admit-voter',
            'storage random-uuid', 'storage version-mapping', 'storage feature-dependencies'} <= set(TOOLS) and len(TOOLS) >= 36


def slug(heading):
    """As the pages' viewers make the anchor of a heading."""
    return re.sub(r' ', '-', re.sub(r'[^\w\- ]', '', heading.strip().lower()))


def headings(name):
    return re.findall(r'^#+ +(.+?)\s*$', page(name), re.M)


@pytest.mark.parametrize('name', PAGES)
def test_every_link_leads_somewhere(name):
    for target in re.findall(r'\]\(([^)\s]+)\)', re.sub(r'`[^`]*`', '', page(name))):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, anchor = target.partition('#')
        there = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        assert os.path.exists(os.path.join(ROOT, there)), '%s: no file %s' % (name, target)
        assert not anchor or anchor in [slug(h) for h in headings(there)], '%s: no heading %s' % (name, target)


@pytest.mark.parametrize('name', PAGES)
def test_every_page_that_is_named_is_there(name):
    text = page(name)
    for path in re.findall(r'(?<![\w/.-])((?:docs|deploy|tests|tools)/[\w/-]+\.(?:md|sh|py|tsv|yml|properties))(?![\w-])', text):
        assert os.path.exists(os.path.join(ROOT, path)), '%s: no file %s' % (name, path)
    for there, heading in re.findall(r'(docs/\w+\.md), "([^"]+)"', text):
        assert heading in headings(there), '%s: no heading "%s" in %s' % (name, heading, there)


def test_the_index_has_every_page():
    index = page('docs/README.md')
    for name in os.listdir(os.path.join(ROOT, 'docs')):
        assert name == 'README.md' or re.search(r'(?<![\w.])' + re.escape(name) + r'(?![\w])', index), 'docs/README.md: nothing of ' + name
