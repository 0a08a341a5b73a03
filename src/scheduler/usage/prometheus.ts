// Historical use of queues from Prometheus: sums over the window, as shares of the summed capacity (spec 02 section 8, 08 section 14).
import { request } from 'undici';
import { formatGoDuration } from '../../base/duration.ts';
import { KaiError } from '../../base/errors.ts';
import { lastBefore } from '../../config/cron.ts';
import type { ResourceTexts, UsageSettings } from '../../config/usageDb.ts';

const RESOURCES = ['gpu', 'cpu', 'memory'] as const;

/** Shares of the cluster's capacity over the window. */
export interface UsageShares {
  cpu: number;
  memory: number;
  gpu: number;
}

/** By queue name; queues without data are absent. */
export type UsageByQueue = ReadonlyMap<string, Readonly<UsageShares>>;

interface Sample {
  readonly labels: Readonly<Record<string, unknown>>;
  readonly value: number;
}

/** One fetch: three capacities, then three allocations. Throws KaiError USAGE_QUERY; a resource without capacity has no usage. */
export async function fetchUsage(settings: UsageSettings, nowMs: number, signal: AbortSignal): Promise<UsageByQueue> {
  const ended = AbortSignal.any([signal, AbortSignal.timeout(settings.queryTimeoutMs)]);
  const ask = async (metrics: ResourceTexts, resource: (typeof RESOURCES)[number]): Promise<readonly Sample[]> =>
    query(settings.url, usageQuery(settings, metrics[resource], nowMs), nowMs, ended);
  const capacity: Record<string, number> = {};
  for (const resource of RESOURCES) capacity[resource] = (await ask(settings.capacityMetrics, resource))[0]?.value ?? 0;
  const usage = new Map<string, UsageShares>();
  for (const resource of RESOURCES) {
    for (const { labels, value } of await ask(settings.allocationMetrics, resource)) {
      const share = value / capacity[resource]!;
      const { queue_name: queue } = labels;
      if (typeof queue !== 'string' || !Number.isFinite(share)) continue;
      const shares = usage.get(queue) ?? { cpu: 0, memory: 0, gpu: 0 };
      // Of several series of one queue the last counts.
      shares[resource] = share;
      usage.set(queue, shares);
    }
  }
  return usage;
}

/** The instant query whose value is the metric's sum over the window, with decay where there is one. */
export function usageQuery({ halfLifeMs, window, resolutionMs }: UsageSettings, metric: string, nowMs: number): string {
  const nowS = Math.floor(nowMs / 1000);
  const decayed = halfLifeMs > 0 ? `((${metric}) * (0.5^((${nowS} - time()) / ${(halfLifeMs / 1000).toFixed(6)})))` : metric;
  const size = window.type === 'sliding' ? window.size : `${Math.ceil(Math.max(resolutionMs, nowMs - windowStart(window, nowMs)) / 1000)}s`;
  return `sum_over_time((${decayed})[${size}:${formatGoDuration(resolutionMs)}])`;
}

/** The last reset strictly before now; now itself where there was none (spec 02 section 8.3). */
function windowStart(window: Exclude<UsageSettings['window'], { type: 'sliding' }>, nowMs: number): number {
  if (window.type === 'cron') {
    const last = lastBefore(window.schedule, nowMs);
    return Number.isNaN(last) ? nowMs : last;
  }
  const { startMs, sizeMs } = window;
  if (startMs > nowMs) return nowMs;
  return startMs + Math.max(0, Math.ceil((nowMs - startMs) / sizeMs) - 1) * sizeMs;
}

async function query(address: string, text: string, nowMs: number, signal: AbortSignal): Promise<readonly Sample[]> {
  const url = new URL(address);
  const { username, password } = url;
  url.username = '';
  url.password = '';
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/api/v1/query`;
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const fail = (why: string): KaiError => new KaiError('USAGE_QUERY', `Prometheus ${url.href}: ${text}: ${why}`);
  let body: string;
  let statusCode: number;
  try {
    const response = await request(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        ...(username === '' ? {} : { authorization: `Basic ${Buffer.from(user).toString('base64')}` }),
      },
      body: new URLSearchParams({ query: text, time: String(nowMs / 1000) }).toString(),
      signal,
    });
    statusCode = response.statusCode;
    body = await response.body.text();
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  const answer = parseAnswer(body);
  if (typeof answer === 'string') throw fail(`HTTP ${statusCode}: ${answer}`);
  return answer;
}

/** The samples of an instant vector, or what is wrong. */
function parseAnswer(body: string): readonly Sample[] | string {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return body.slice(0, 200);
  }
  const { status, error, data } = recordOf(json);
  if (status !== 'success') return typeof error === 'string' ? error : body.slice(0, 200);
  const { resultType, result } = recordOf(data);
  if (resultType !== 'vector' || !Array.isArray(result)) return `a ${String(resultType)} instead of a vector`;
  return result.map((item: unknown) => {
    const { metric, value } = recordOf(item);
    return { labels: recordOf(metric), value: Array.isArray(value) ? Number(value[1]) : Number.NaN };
  });
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
