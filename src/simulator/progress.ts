/** Where progress goes: stderr, or a fake. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface Progress {
  /** Ends the display; the last line stays as it is. */
  end(): void;
}

const TERMINAL_PERIOD_MS = 1000;
const FILE_PERIOD_MS = 10_000;
const CLEAR_LINE = '\r\x1b[2K';

/** Shows what `line` says: on a terminal once per second in one place, elsewhere as a new line every 10 s. */
export function startProgress(stream: ProgressStream, line: () => string): Progress {
  const isTerminal = stream.isTTY === true;
  const show = (): void => void stream.write(isTerminal ? `${CLEAR_LINE}${line()}` : `${line()}\n`);
  const timer = setInterval(show, isTerminal ? TERMINAL_PERIOD_MS : FILE_PERIOD_MS);
  timer.unref();
  return {
    end: () => {
      clearInterval(timer);
      if (isTerminal) stream.write(CLEAR_LINE);
    },
  };
}
