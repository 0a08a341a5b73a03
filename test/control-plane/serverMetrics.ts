// What an API server counted: requests by verb, resource, subresource and status code, from its own /metrics.

export interface RequestCount {
  /** Upper case as the server writes it: GET, LIST, WATCH, POST, PUT, PATCH, DELETE, DELETECOLLECTION, APPLY. */
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  /** HTTP status. */
  readonly code: string;
  readonly count: number;
}

const WRITES: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE', 'DELETECOLLECTION']);
const SAMPLE = /^apiserver_request_total\{([^}]*)\} (\S+)$/gm;

/** Reads `apiserver_request_total` out of an exposition text. */
export function parseRequestCounts(exposition: string): RequestCount[] {
  const counts: RequestCount[] = [];
  for (const [, labels, value] of exposition.matchAll(SAMPLE)) {
    const of = Object.fromEntries([...labels!.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, text]) => [name!, text!]));
    counts.push({
      verb: of.verb ?? '',
      group: of.group ?? '',
      resource: of.resource ?? '',
      subresource: of.subresource ?? '',
      code: of.code ?? '',
      count: Number(value),
    });
  }
  return counts;
}

function keyOf(count: RequestCount): string {
  return [count.verb, count.group, count.resource, count.subresource, count.code].join('\n');
}

/** What was counted between two readings; lines without a request are left out. A server that was restarted counts from 0. */
export function subtractCounts(after: readonly RequestCount[], before: readonly RequestCount[]): RequestCount[] {
  const sums = new Map<string, number>();
  for (const count of before) sums.set(keyOf(count), (sums.get(keyOf(count)) ?? 0) + count.count);
  const rows = new Map<string, RequestCount>();
  for (const count of after) {
    // The same request kind has one sample per dry-run value and scope.
    rows.set(keyOf(count), { ...count, count: (rows.get(keyOf(count))?.count ?? 0) + count.count });
  }
  return [...rows.values()].map((row) => ({ ...row, count: row.count - (sums.get(keyOf(row)) ?? 0) })).filter((row) => row.count > 0);
}

/** Successful writes by "VERB resource/subresource", sorted by name. */
export function writesByKind(counts: readonly RequestCount[]): Record<string, number> {
  const kinds = new Map<string, number>();
  for (const { verb, resource, subresource, code, count } of counts) {
    if (!WRITES.has(verb) || !code.startsWith('2')) continue;
    const kind = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + count);
  }
  return Object.fromEntries([...kinds].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Requests that ended with one of the status codes, for a run that must have none (403). */
export function countCode(counts: readonly RequestCount[], code: string): number {
  return counts.reduce((sum, count) => sum + (count.code === code ? count.count : 0), 0);
}
