import { delimiter } from 'node:path';
import { openTokenData, type TokenData } from '@manyhands/core/data';

/**
 * Token shards that this machine has already, by the hash of their contents: a worker on the coordinator's machine,
 * or one that was given a copy, is then sent positions instead of tokens.
 */
export class LocalShards {
  /** @param folders as in the environment variable MANYHANDS_SHARDS, separated as in PATH */
  constructor(
    private readonly folders: string,
    private readonly warn: (text: string) => void,
  ) {}

  async find(dataHash: string): Promise<TokenData | null> {
    for (const folder of this.folders.split(delimiter).filter(Boolean)) {
      try {
        const data = await openTokenData(folder);
        if (data.dataHash === dataHash) return data;
        data.close();
      } catch (error) {
        this.warn(
          `${error instanceof Error ? error.message : error} The coordinator sends the tokens instead.`,
        );
      }
    }
    return null;
  }
}
