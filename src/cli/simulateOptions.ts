import { InvalidArgumentError } from 'commander';
import { parseExtendedDurationMs } from '../base/duration.ts';
import { type OutputFormat, UsageError } from './usage.ts';

/** Options as commander hands them over. */
export interface SimulateFlags {
  readonly nodes?: number;
  readonly hours?: number;
  readonly duration?: number;
  readonly trace?: 'openb';
  readonly nodeFile?: string;
  readonly podFile?: string;
  readonly arrive?: number;
  readonly departures?: boolean;
  readonly queues?: number;
  readonly audit?: boolean;
  readonly seed?: number;
  readonly seeds?: readonly number[];
  readonly workers: 'auto' | number;
  readonly config?: string;
  readonly output: OutputFormat;
  readonly port?: number;
  readonly dashboard: boolean;
  readonly preset?: 'laptop';
}

export interface TraceFiles {
  readonly nodeFile: string;
  readonly podFile: string;
}

/** Filled and checked: what is to be run, and how. */
export interface SimulatePlan {
  /** `openb`: the benchmark's protocol; `replay`: the trace as recorded; `flow`: its pods come at random, live as recorded. */
  readonly kind: 'generated' | 'openb' | 'replay' | 'flow';
  readonly nodes: number;
  readonly trace?: TraceFiles;
  readonly arrivePercent: number;
  /** Queues that share the cluster of a trace; 1 = one without limits. */
  readonly queues: number;
  readonly isAudited: boolean;
  readonly seeds: readonly number[];
  /** Ends: virtual and real time. */
  readonly simulatedLimitMs: number;
  readonly wallLimitMs: number;
  readonly speed: number;
  readonly workers: 'auto' | number;
  readonly configFile?: string;
  readonly output: OutputFormat;
  /** Null = no dashboard. */
  readonly port: number | null;
}

export const DEFAULT_SEED = 42;
export const DEFAULT_PORT = 8090;
const DEFAULT_NODES = 100;
const DEFAULT_HOURS = 2;
const DEFAULT_ARRIVE_PERCENT = 130;
const LAPTOP = Object.freeze({ nodes: 1000, speed: 60, wallLimitMs: 60_000 });
const MAX_NODES = 100_000;
const MAX_SEEDS = 1000;

/** @throws UsageError when flags do not go together. */
export function planSimulation(flags: SimulateFlags): SimulatePlan {
  const wrong = wrongCombination(flags);
  if (wrong !== undefined) throw new UsageError(wrong);
  const isLaptop = flags.preset === 'laptop';
  const { nodeFile, podFile } = flags;
  const isLive = isLaptop || flags.port !== undefined;
  const wallLimitMs = flags.duration ?? (isLaptop && flags.hours === undefined ? LAPTOP.wallLimitMs : 0);
  const hasWallLimit = flags.duration !== undefined || isLaptop;
  return {
    kind: kindOf(flags),
    nodes: flags.nodes ?? (isLaptop ? LAPTOP.nodes : DEFAULT_NODES),
    trace: nodeFile === undefined || podFile === undefined ? undefined : { nodeFile, podFile },
    arrivePercent: flags.arrive ?? DEFAULT_ARRIVE_PERCENT,
    queues: flags.queues ?? 1,
    isAudited: flags.audit === true,
    seeds: flags.seeds ?? [flags.seed ?? DEFAULT_SEED],
    simulatedLimitMs:
      flags.hours !== undefined
        ? flags.hours * 3_600_000
        : hasWallLimit || (flags.trace !== undefined && kindOf(flags) !== 'flow')
          ? Infinity
          : DEFAULT_HOURS * 3_600_000,
    wallLimitMs: wallLimitMs > 0 ? wallLimitMs : Infinity,
    speed: isLaptop ? LAPTOP.speed : Infinity,
    workers: flags.workers,
    configFile: flags.config,
    output: flags.output,
    port: flags.dashboard && isLive ? (flags.port ?? DEFAULT_PORT) : null,
  };
}

function kindOf({ trace, departures, arrive }: SimulateFlags): SimulatePlan['kind'] {
  if (trace === undefined) return 'generated';
  if (departures !== true) return 'openb';
  return arrive === undefined ? 'replay' : 'flow';
}

function wrongCombination(flags: SimulateFlags): string | undefined {
  const isTrace = flags.trace !== undefined;
  if (isTrace && (flags.nodeFile === undefined || flags.podFile === undefined)) return '--trace openb needs --node-file and --pod-file';
  if (!isTrace && (flags.nodeFile !== undefined || flags.podFile !== undefined)) return '--node-file and --pod-file go with --trace openb';
  if (!isTrace && flags.arrive !== undefined) return '--arrive goes with --trace openb';
  if (!isTrace && flags.departures === true) return '--departures goes with --trace openb; generated jobs always leave';
  if (!isTrace && flags.queues !== undefined) return '--queues goes with --trace openb; the generated cluster has its own';
  const isReplay = flags.departures === true && flags.arrive === undefined;
  if (isReplay && (flags.seed !== undefined || flags.seeds !== undefined))
    return '--departures without --arrive replays the trace as recorded; a seed has no effect';
  if (kindOf(flags) === 'flow' && flags.duration !== undefined && flags.hours === undefined)
    return '--departures with --arrive needs --hours beside --duration: the demand is spread over the hours';
  if (isTrace && flags.nodes !== undefined) return '--nodes does not go with --trace, whose node file names the nodes';
  if (isTrace && flags.hours !== undefined && flags.departures !== true)
    return '--hours does not go with --trace without --departures: the arrived demand ends the run';
  if (isTrace && flags.preset !== undefined) return '--preset does not go with --trace';
  if (flags.seed !== undefined && flags.seeds !== undefined) return '--seed and --seeds exclude each other';
  if (flags.duration === 0 && (flags.seeds?.length ?? 1) > 1) return '--duration 0 never ends the first of several seeds';
  if (!flags.dashboard && flags.port !== undefined) return '--port and --no-dashboard exclude each other';
  return undefined;
}

// Parsers of single values for commander; they throw InvalidArgumentError.
function parseWhole(name: string, lowest: number, highest: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= lowest && value <= highest) return value;
    throw new InvalidArgumentError(`${name} is a whole number from ${lowest} to ${highest}.`);
  };
}

export const parseQueues = parseWhole('The number of queues', 1, 100);
export const parseNodes = parseWhole('The number of nodes', 1, MAX_NODES);
export const parsePort = parseWhole('A port', 0, 65535);
export const parseSeed = parseWhole('A seed', 0, 0xffffffff);

export function parseSeeds(text: string): number[] {
  const match = /^(\d+)\.\.(\d+)$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2]);
  if (match !== null && first <= last && last <= 0xffffffff && last - first < MAX_SEEDS) {
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  }
  throw new InvalidArgumentError(`Seeds are given as FIRST..LAST, at most ${MAX_SEEDS} of them.`);
}

export function parseHours(text: string): number {
  const hours = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && hours > 0 && hours <= 87_600) return hours;
  throw new InvalidArgumentError('Hours are a number above 0, at most 87600.');
}

/** Milliseconds; a bare number is seconds. */
export function parseDuration(text: string): number {
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : parseExtendedDurationMs(text);
  if (ms >= 0) return ms;
  throw new InvalidArgumentError('A duration is a number of seconds, or a number with a unit: 90s, 10m, 2h.');
}

export function parseArrive(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 10_000) return value;
  throw new InvalidArgumentError('The arrived demand is a percentage above 0, at most 10000.');
}
