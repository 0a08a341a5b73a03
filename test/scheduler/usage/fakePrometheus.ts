// A small Prometheus on loopback: answers instant queries with fixed series.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

type Series = readonly (readonly [queue: string | null, value: string])[];

export class FakePrometheus {
  readonly asked: { readonly query: string; readonly time: string; readonly authorization: string }[] = [];
  /** By a part of the query; without an entry an empty vector. */
  readonly series = new Map<string, Series>();
  /** Answers everything with this. */
  refusal: { readonly status: number; readonly body: object } | null = null;
  readonly #server: Server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => {
      const form = new URLSearchParams(body);
      const query = form.get('query') ?? '';
      this.asked.push({ query, time: form.get('time') ?? '', authorization: request.headers.authorization ?? '' });
      const found = [...this.series].find(([part]) => query.includes(part))?.[1] ?? [];
      const result = found.map(([queue, value]) => ({ metric: queue === null ? {} : { queue_name: queue }, value: [0, value] }));
      const isRight = request.method === 'POST' && request.url === '/prefix/api/v1/query';
      response.writeHead(isRight ? (this.refusal?.status ?? 200) : 404, { 'content-type': 'application/json' });
      response.end(JSON.stringify(this.refusal?.body ?? { status: 'success', data: { resultType: 'vector', result } }));
    });
  });

  start = (): Promise<void> => new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  stop = (): Promise<void> => {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  };
  url = (): string => `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/prefix/`;
}
