// The API server's own audit log of one account: which requests it made and how they ended, over restarts of the server.
import { existsSync, readFileSync } from 'node:fs';

export interface LoggedRequest {
  readonly verb: string;
  readonly uri: string;
  readonly resource: string;
  readonly subresource: string;
  readonly code: number;
  /** Date.now() of the server when it came. */
  readonly atMs: number;
}

interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly requestReceivedTimestamp: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
}

const WRITES: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

export class RequestLog {
  readonly #file: string;
  readonly #user: string;

  constructor(file: string, user: string) {
    this.#file = file;
    this.#user = user;
  }

  /** In the order in which they ended. */
  requests(): LoggedRequest[] {
    if (!existsSync(this.#file)) return [];
    return readFileSync(this.#file, 'utf8')
      .split('\n')
      .flatMap((line) => this.#parse(line));
  }

  /** "verb path" of the requests that ended so, those left out that came while `isExcused`. */
  withCode(code: number, isExcused: (atMs: number) => boolean): string[] {
    return this.requests().flatMap(({ code: is, atMs, verb, uri }) => (is === code && !isExcused(atMs) ? [`${verb} ${uri}`] : []));
  }

  /** Paths of the pods that were deleted. */
  deletedPods(): Set<string> {
    const done = this.requests().filter(({ verb, resource, code }) => verb === 'delete' && resource === 'pods' && code < 300);
    return new Set(done.map(({ uri }) => uri.split('?')[0]!));
  }

  count(): number {
    return this.requests().length;
  }

  /** Successful writes by "verb resource/subresource" after the first `from` requests, lease renewals left out. */
  writesSince(from: number): Record<string, number> {
    const counts = new Map<string, number>();
    for (const { verb, resource, subresource, code } of this.requests().slice(from)) {
      if (!WRITES.has(verb) || code >= 300 || resource === 'leases') continue;
      const kind = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** A server that is killed may leave half a line. */
  #parse(line: string): LoggedRequest[] {
    let event: AuditEvent;
    try {
      event = JSON.parse(line) as AuditEvent;
    } catch {
      return [];
    }
    if (event.user.username !== this.#user) return [];
    const { resource = '', subresource = '' } = event.objectRef ?? {};
    return [
      {
        verb: event.verb,
        uri: event.requestURI,
        resource,
        subresource,
        code: event.responseStatus?.code ?? 0,
        atMs: Date.parse(event.requestReceivedTimestamp),
      },
    ];
  }
}
