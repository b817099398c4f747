// Only type-checked: a deletion without a body, and one with credentials.

import { deleteTask } from "./orval/client";
import { Api } from "./sta/client";

export const orval = () => deleteTask("project", 1);
export const withCredentials = () => deleteTask("project", 1, { target_ak: "ak", target_sk: "sk" });
export const sta = (api: Api<unknown>) => api.v1.deleteTask("project", 1);
