import java.util.List;
import java.util.function.Predicate;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.TasksApi;
import org.openapitools.client.model.CloudName;
import org.openapitools.client.model.CreateTask;
import org.openapitools.client.model.FailurePage;
import org.openapitools.client.model.ObjectKey;
import org.openapitools.client.model.SourceNode;
import org.openapitools.client.model.StartTask;
import org.openapitools.client.model.StopTask;
import org.openapitools.client.model.TargetCloud;
import org.openapitools.client.model.TargetNode;
import org.openapitools.client.model.Task;
import org.openapitools.client.model.TaskStatus;
import org.openapitools.client.model.UpdateTask;

/** Brings a task to its end with the client that openapi-generator makes for Java. */
public class Use {
  static final String PROJECT = env("PROJECT_ID");
  static TasksApi api;
  static long task;

  static String env(String name) {
    return System.getenv(name);
  }

  static void must(boolean good, String text, Object about) {
    if (!good) {
      throw new AssertionError(text + ": " + about);
    }
  }

  static Task await(String what, Predicate<Task> condition) throws Exception {
    long until = System.nanoTime() + 120_000_000_000L;
    while (true) {
      Task now = api.showTask(PROJECT, task);
      if (condition.test(now)) {
        return now;
      }
      must(System.nanoTime() < until, "the task does not " + what, now);
      Thread.sleep(50);
    }
  }

  static boolean over(Task now) {
    return now.getStatus() != TaskStatus.WAITING && now.getStatus() != TaskStatus.RUNNING;
  }

  static void start(boolean failedOnly) throws ApiException {
    StartTask start =
        new StartTask()
            .operation(StartTask.OperationEnum.START)
            .sourceAk(env("SOURCE_AK"))
            .sourceSk(env("SOURCE_SK"))
            .targetAk(env("TARGET_AK"))
            .targetSk(env("TARGET_SK"))
            .migrationFailedObject(failedOnly);
    api.updateTask(PROJECT, task, new UpdateTask(start));
  }

  public static void main(String[] arguments) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(env("BASE_URL"));
    client.setRequestInterceptor(request -> request.header("X-Auth-Token", env("TOKEN")));
    api = new TasksApi(client);

    SourceNode source =
        new SourceNode()
            .region("lab")
            .cloudType(CloudName.AWS)
            .endpoint(env("SOURCE_ENDPOINT"))
            .bucket(env("SOURCE_BUCKET"))
            .ak(env("SOURCE_AK"))
            .sk(env("SOURCE_SK"))
            .objectKey(new ObjectKey(""));
    TargetNode target =
        new TargetNode()
            .region("lab")
            .cloudType(TargetCloud.TARGET_AWS)
            .endpoint(env("TARGET_ENDPOINT"))
            .bucket(env("TARGET_BUCKET"))
            .ak(env("TARGET_AK"))
            .sk(env("TARGET_SK"))
            .objectKey("");
    CreateTask order = new CreateTask().srcNode(source).dstNode(target).enableKMS(false).threadNum(8L);
    task = api.createTask(PROJECT, order, null).getId();

    List<Task> listed = api.listTasks(PROJECT, 0L, 10L, null, null);
    must(listed.size() == 1 && listed.get(0).getId() == task, "list", listed);
    must(api.countTasks(PROJECT, null).getTaskcount() == 1, "count", "");
    Task shown = api.showTask(PROJECT, task);
    must("".equals(shown.getErrorReason().getActualInstance()), "an empty reason", shown);

    await("begin", now -> now.getSuccessNum() >= 20);
    StopTask stop = new StopTask().operation(StopTask.OperationEnum.STOP);
    api.updateTask(PROJECT, task, new UpdateTask(stop));
    await("pause", now -> now.getStatus() == TaskStatus.PAUSED);

    start(false);
    Task failed = await("fail", Use::over);
    must(failed.getStatus() == TaskStatus.FAILED && failed.getFailNum() == 2, "failed", failed);
    String code = failed.getErrorReason().getTaskError().getErrorCode();
    must(code.startsWith("TRF."), "a reason", failed);
    FailurePage page = api.listFailures(PROJECT, task, null, null);
    must(page.getFailures().size() == 2 && page.getFailures().get(0).getKey().equals("refused/1"), "failures", page);

    // The target is mended while this runs, so the objects may fail once more.
    Task ended = failed;
    while (ended.getStatus() == TaskStatus.FAILED) {
      start(true);
      ended = await("end", Use::over);
    }
    must(ended.getStatus() == TaskStatus.SUCCEEDED && ended.getFailNum() == 0, "succeeded", ended);
    must(api.countTasks(PROJECT, TaskStatus.SUCCEEDED).getTaskcount() == 1, "count of the succeeded", "");

    api.deleteTask(PROJECT, task, null);
    must(api.listTasks(PROJECT, 0L, 10L, null, null).isEmpty(), "an empty list", "");
    try {
      api.showTask(PROJECT, task);
      throw new AssertionError("a deleted task is shown");
    } catch (ApiException refusal) {
      must(refusal.getCode() == 400 && refusal.getResponseBody().contains("OMS.0053"), "a refusal", refusal);
    }
    System.out.println("the generated client did all of it");
  }
}
