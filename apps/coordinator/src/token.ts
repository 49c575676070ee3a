import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readPrivateFile, sameSecret, writePrivateFile } from '@manyhands/proto';
import { keeping, trusting } from './security/secrets.js';

/** 192 bits: nobody guesses it. */
const TOKEN_BYTES = 24;
/** What a token looks like: at least 128 bits, as base64url. */
const TOKEN = /^[\w-]{22,200}$/;

/** How far a join line goes. */
export interface TokenLimits {
  /** Seconds from now. */
  readonly ttl?: number | undefined;
  /** Workers that may join with it. */
  readonly joins?: number | undefined;
}

/** As the file has it. */
interface Kept {
  readonly token: string;
  /** In ISO 8601; null for never. */
  readonly expires: string | null;
  /** Joins that are left; null for no limit. */
  readonly joins: number | null;
}

/** Why a token is not taken; `guess` for one that is not the run's. */
export interface TokenRefusal {
  readonly guess: boolean;
  readonly reason: string;
}

/**
 * The secret in a run's join line. It stays with the run in `join-token`, readable by its owner alone, and the file is
 * the truth: it is read at each join, so that who deletes it ends all joining, and who replaces it changes the token.
 */
export class JoinToken {
  private constructor(private readonly file: string) {}

  /**
   * The token of the run in `out`, or a new one. Limits that are given count from now on.
   * @throws UserError where the file cannot be trusted, RunError where it cannot be written: a run never falls back to
   *   another token silently
   */
  static async open(out: string, limits: TokenLimits = {}): Promise<JoinToken> {
    const opened = new JoinToken(join(out, 'join-token'));
    const kept = await trusting(() => opened.read());
    const { ttl, joins } = limits;
    if (kept === null || ttl !== undefined || joins !== undefined) {
      const token = kept?.token ?? randomBytes(TOKEN_BYTES).toString('base64url');
      const expires =
        ttl === undefined ? (kept?.expires ?? null) : new Date(Date.now() + ttl * 1000).toISOString();
      keeping(() => opened.write({ token, expires, joins: joins ?? kept?.joins ?? null }));
    }
    return opened;
  }

  /** @throws Error with one sentence where there is none, or it cannot be read */
  get secret(): string {
    const kept = this.read();
    if (kept === null) throw new Error(`${this.file} is gone: nobody can join`);
    return kept.token;
  }

  /** Null where the token is good. */
  check(given: string): TokenRefusal | null {
    let kept: Kept | null;
    try {
      kept = this.read();
    } catch {
      return { guess: false, reason: 'the coordinator cannot read its token' };
    }
    if (kept === null) return { guess: false, reason: 'the token was revoked' };
    if (!sameSecret(given, kept.token)) {
      return { guess: true, reason: 'the token does not belong to this run' };
    }
    if (kept.expires !== null && Date.parse(kept.expires) <= Date.now()) {
      return { guess: false, reason: 'the token has expired' };
    }
    if (kept.joins === 0) return { guess: false, reason: 'as many workers have joined as the token allows' };
    return null;
  }

  /** As `check`, and counts a join where it is good. */
  use(given: string): TokenRefusal | null {
    const refusal = this.check(given);
    if (refusal !== null) return refusal;
    try {
      const kept = this.read();
      if (kept?.joins != null) this.write({ ...kept, joins: kept.joins - 1 });
      return null;
    } catch {
      return { guess: false, reason: 'the coordinator cannot count the join' };
    }
  }

  private read(): Kept | null {
    const text = readPrivateFile(this.file);
    if (text === null) return null;
    const kept = parse(text);
    if (kept === null) {
      throw new Error(`${this.file} holds no token: delete it, and workers join with the new line`);
    }
    return kept;
  }

  private write(kept: Kept): void {
    writePrivateFile(this.file, `${JSON.stringify(kept)}\n`);
  }
}

function parse(text: string): Kept | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { token, expires, joins }: Partial<Record<keyof Kept, unknown>> = value;
  if (typeof token !== 'string' || !TOKEN.test(token)) return null;
  if (expires !== null && (typeof expires !== 'string' || Number.isNaN(Date.parse(expires)))) return null;
  if (joins !== null && (typeof joins !== 'number' || !Number.isInteger(joins) || joins < 0)) return null;
  return { token, expires, joins };
}
