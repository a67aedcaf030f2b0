// Nobody is logged in: of drafts that the server has, this browser forgets its copies.
import { Draft } from "./label/draft.js";
import { restore } from "./label/store.js";

restore().then(() => Draft.forgetSaved());
