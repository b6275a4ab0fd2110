// Asks the node. A refusal of the node is an Answer with its sentence; no answer at all is another error.

const TIMEOUT_MS = 8000;

export class Answer extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

export async function ask(call, parameters) {
  const query = String(new URLSearchParams(Object.entries(parameters || {}).filter(([, v]) => v !== undefined && v !== null && v !== '')));
  const response = await fetch('api/' + call + (query && '?' + query), { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
  let body = null;
  try {
    body = await response.json();
  } catch (e) {
    if (response.ok) throw e;
  }
  if (!response.ok) throw new Answer(response.status, body?.error || 'The node answered with status ' + response.status + '.');
  return body;
}
