/** How many standard errors a two-sided 95 % interval of a normal distribution reaches to each side. */
export const Z95 = 1.96;
