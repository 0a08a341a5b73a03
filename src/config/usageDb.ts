// `usageDBConfig`: where the historical use of queues is read, and over which window (spec 01 section 3.6, 02 section 8).
import { parseExtendedDurationMs, parseGoDurationMs, parsePrometheusDurationMs } from '../base/duration.ts';
import { KaiError } from '../base/errors.ts';
import { parseRfc3339Ms } from '../base/time.ts';
import { type CronSchedule, parseCron } from './cron.ts';
import { type Fields, fieldOf, objectField, stringField } from './fields.ts';

export interface UsageSettings {
  /** Base address of Prometheus. */
  readonly url: string;
  /** 0 = no decay. */
  readonly halfLifeMs: number;
  readonly window: UsageWindow;
  readonly fetchIntervalMs: number;
  readonly stalenessMs: number;
  readonly waitTimeoutMs: number;
  /** For all queries of one fetch together. */
  readonly queryTimeoutMs: number;
  readonly resolutionMs: number;
  readonly allocationMetrics: ResourceTexts;
  readonly capacityMetrics: ResourceTexts;
}

export interface ResourceTexts {
  readonly gpu: string;
  readonly cpu: string;
  readonly memory: string;
}

/** What a sum goes back to: a length, as written, or the last of certain moments. */
export type UsageWindow =
  | { readonly type: 'sliding'; readonly size: string }
  | { readonly type: 'tumbling'; readonly sizeMs: number; readonly startMs: number }
  | { readonly type: 'cron'; readonly text: string; readonly schedule: CronSchedule };

const SUPPORTED = ['prometheus', 'fake', 'fake-with-history'];
const PATH = 'usageDBConfig';
const MINUTE_MS = 60_000;

/**
 * null: no usage is read (no block, or one of the clients for tests, which have no data here). Throws KaiError BAD_CONFIG.
 * `environment` for `connectionStringEnvVar`.
 */
export function readUsageDb(block: Fields | null, environment: Readonly<Record<string, string | undefined>>): UsageSettings | null {
  if (block === null) return null;
  const clientType = stringField(block, 'clientType', PATH) ?? '';
  if (clientType === '') throw bad('clientType', 'client type cannot be empty');
  if (!SUPPORTED.includes(clientType))
    throw bad('clientType', `unknown client type: ${clientType}, supported types: [${SUPPORTED.join(' ')}]`);
  if (clientType !== 'prometheus') return null;
  const params = objectField(block, 'usageParams', PATH) ?? {};
  const extra = objectField(params, 'extraParams', `${PATH}.usageParams`) ?? {};
  const extraText = (key: string, standard: string): string => textOf(fieldOf(extra, key)) || standard;
  const extraMs = (key: string, standardMs: number): number => {
    const ms = parseGoDurationMs(extraText(key, ''));
    return ms > 0 ? ms : standardMs;
  };
  const capacity = (resource: string): string => `sum(kube_node_status_capacity{resource="${resource}"})`;
  const fetchIntervalMs = durationOf(params, 'fetchInterval', MINUTE_MS);
  if (fetchIntervalMs <= 0) throw bad('usageParams.fetchInterval', 'must be positive');
  return {
    url: urlOf(block, environment),
    halfLifeMs: Math.max(0, durationOf(params, 'halfLifePeriod', 0)),
    window: windowOf(params),
    fetchIntervalMs,
    stalenessMs: Math.max(fetchIntervalMs, durationOf(params, 'stalenessPeriod', 5 * MINUTE_MS)),
    waitTimeoutMs: durationOf(params, 'waitTimeout', MINUTE_MS),
    queryTimeoutMs: extraMs('usageQueryTimeout', 10_000),
    resolutionMs: extraMs('queryResolution', MINUTE_MS),
    allocationMetrics: {
      gpu: extraText('gpuAllocationMetric', 'kai_queue_allocated_gpus'),
      cpu: extraText('cpuAllocationMetric', 'kai_queue_allocated_cpu_cores'),
      memory: extraText('memoryAllocationMetric', 'kai_queue_allocated_memory_bytes'),
    },
    capacityMetrics: {
      gpu: extraText('gpuCapacityMetric', capacity('nvidia_com_gpu')),
      cpu: extraText('cpuCapacityMetric', capacity('cpu')),
      memory: extraText('memoryCapacityMetric', capacity('memory')),
    },
  };
}

function urlOf(block: Fields, environment: Readonly<Record<string, string | undefined>>): string {
  const given = stringField(block, 'connectionString', PATH) ?? '';
  const variable = stringField(block, 'connectionStringEnvVar', PATH) ?? '';
  if (given !== '' && variable !== '')
    throw bad('connectionString', 'both connection string and connection string env var are set, only one is allowed');
  if (given === '' && variable === '')
    throw bad('connectionString', 'connection string and connection string env var are not set, one is required');
  const url = given === '' ? (environment[variable] ?? '') : given;
  if (url === '') throw bad('connectionStringEnvVar', `environment variable ${variable} is empty`);
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  // The address may hold a password, so it is not repeated.
  throw bad(given === '' ? 'connectionStringEnvVar' : 'connectionString', 'not an address that begins with http:// or https://');
}

function windowOf(params: Fields): UsageWindow {
  const type = stringField(params, 'windowType', `${PATH}.usageParams`) || 'sliding';
  const size = stringField(params, 'windowSize', `${PATH}.usageParams`) || '1w';
  const sizeMs = parsePrometheusDurationMs(size);
  if (type !== 'cron' && !(sizeMs > 0)) throw bad('usageParams.windowSize', `"${size}" is not a duration such as 7d or 1h30m`);
  switch (type) {
    case 'sliding':
      return { type, size };
    case 'tumbling': {
      const start = textOf(fieldOf(params, 'tumblingWindowStartTime'));
      if (start === '')
        throw bad('usageParams', "prometheus client window type is set as 'tumbling', but the tumblingWindowStartTime is null");
      const startMs = parseRfc3339Ms(start);
      if (Number.isNaN(startMs)) throw bad('usageParams.tumblingWindowStartTime', `"${start}" is not a time such as 2026-01-01T00:00:00Z`);
      return { type, sizeMs, startMs };
    }
    case 'cron': {
      const text = stringField(params, 'cronString', `${PATH}.usageParams`) ?? '';
      return { type, text, schedule: scheduleOf(text) };
    }
    default:
      throw bad('usageParams.windowType', `"${type}" is none of sliding, tumbling, cron`);
  }
}

function scheduleOf(text: string): CronSchedule {
  try {
    return parseCron(text);
  } catch (error) {
    throw bad('usageParams.cronString', error instanceof Error ? error.message : String(error));
  }
}

function durationOf(params: Fields, key: string, standardMs: number): number {
  const value = fieldOf(params, key);
  if (value === undefined) return standardMs;
  const ms = typeof value === 'string' ? parseExtendedDurationMs(value) : Number.NaN;
  if (Number.isNaN(ms)) throw bad(`usageParams.${key}`, `${JSON.stringify(value)} is not a duration such as 1m or 168h`);
  return ms;
}

/** YAML may have read a time as a date. */
function textOf(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'string' ? value : '';
}

function bad(path: string, message: string): KaiError {
  return new KaiError('BAD_CONFIG', `configuration: ${PATH}.${path}: ${message}`);
}
