// Brings a task to its end with the client that openapi-generator makes for Go.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	oms "omsclient"
)

var (
	project = os.Getenv("PROJECT_ID")
	api     *oms.TasksAPIService
	ctx     context.Context
	task    int64
)

func must(good bool, text string, about ...interface{}) {
	if !good {
		fmt.Fprintln(os.Stderr, append([]interface{}{text}, about...)...)
		os.Exit(1)
	}
}

func show() *oms.Task {
	now, _, err := api.ShowTask(ctx, project, task).Execute()
	must(err == nil, "show", err)
	return now
}

func wait(what string, condition func(*oms.Task) bool) *oms.Task {
	until := time.Now().Add(120 * time.Second)
	for {
		now := show()
		if condition(now) {
			return now
		}
		must(time.Now().Before(until), "the task does not "+what, *now)
		time.Sleep(50 * time.Millisecond)
	}
}

func over(now *oms.Task) bool { return now.Status != oms.WAITING && now.Status != oms.RUNNING }

func update(body oms.UpdateTask) {
	_, err := api.UpdateTask(ctx, project, task).UpdateTask(body).Execute()
	must(err == nil, "update", err)
}

func start(failedOnly bool) {
	env := os.Getenv
	body := oms.StartTask{
		Operation: "start",
		SourceAk:  env("SOURCE_AK"), SourceSk: env("SOURCE_SK"),
		TargetAk: env("TARGET_AK"), TargetSk: env("TARGET_SK"),
	}
	body.SetMigrationFailedObject(failedOnly)
	update(oms.StartTaskAsUpdateTask(&body))
}

func count(request oms.ApiCountTasksRequest) int64 {
	number, _, err := request.Execute()
	must(err == nil, "count", err)
	return number.Taskcount
}

func main() {
	env := os.Getenv
	configuration := oms.NewConfiguration()
	configuration.Servers = oms.ServerConfigurations{{URL: env("BASE_URL")}}
	api = oms.NewAPIClient(configuration).TasksAPI
	keys := map[string]oms.APIKey{"token": {Key: env("TOKEN")}}
	ctx = context.WithValue(context.Background(), oms.ContextAPIKeys, keys)

	source := oms.NewSourceNode()
	source.SetRegion("lab")
	source.SetCloudType(oms.AWS)
	source.SetEndpoint(env("SOURCE_ENDPOINT"))
	source.SetBucket(env("SOURCE_BUCKET"))
	source.SetAk(env("SOURCE_AK"))
	source.SetSk(env("SOURCE_SK"))
	whole := ""
	source.SetObjectKey(oms.StringAsObjectKey(&whole))
	target := oms.TargetNode{Region: "lab", Bucket: env("TARGET_BUCKET"), Ak: env("TARGET_AK"), Sk: env("TARGET_SK")}
	target.SetCloudType(oms.TARGET_AWS)
	target.SetEndpoint(env("TARGET_ENDPOINT"))
	target.SetObjectKey("")
	order := oms.CreateTask{SrcNode: *source, DstNode: target, EnableKMS: false, ThreadNum: 8}
	created, _, err := api.CreateTask(ctx, project).CreateTask(order).Execute()
	must(err == nil, "create", err)
	task = created.Id

	listed, _, err := api.ListTasks(ctx, project).Start(0).Limit(10).Execute()
	must(err == nil && len(listed) == 1 && listed[0].Id == task, "list", listed, err)
	must(count(api.CountTasks(ctx, project)) == 1, "count")
	must(*show().ErrorReason.String == "", "an empty reason")

	wait("begin", func(now *oms.Task) bool { return now.SuccessNum >= 20 })
	update(oms.StopTaskAsUpdateTask(oms.NewStopTask("stop")))
	wait("pause", func(now *oms.Task) bool { return now.Status == oms.PAUSED })

	start(false)
	failed := wait("fail", over)
	must(failed.Status == oms.FAILED && failed.FailNum == 2, "failed", *failed)
	reason := failed.ErrorReason.TaskError
	must(reason != nil && strings.HasPrefix(reason.ErrorCode, "TRF."), "a reason", *failed)
	page, _, err := api.ListFailures(ctx, project, task).Execute()
	must(err == nil && len(page.Failures) == 2 && page.Failures[0].Key == "refused/1", "failures", page, err)

	// The target is mended while this runs, so the objects may fail once more.
	ended := failed
	for ended.Status == oms.FAILED {
		start(true)
		ended = wait("end", over)
	}
	must(ended.Status == oms.SUCCEEDED && ended.FailNum == 0 && ended.Progress == 1, "succeeded", *ended)
	must(count(api.CountTasks(ctx, project).State(oms.SUCCEEDED)) == 1, "count of the succeeded")

	_, err = api.DeleteTask(ctx, project, task).Execute()
	must(err == nil, "delete", err)
	listed, _, err = api.ListTasks(ctx, project).Start(0).Limit(10).Execute()
	must(err == nil && len(listed) == 0, "an empty list", listed, err)
	_, _, err = api.ShowTask(ctx, project, task).Execute()
	refusal, typed := err.(*oms.GenericOpenAPIError)
	must(typed, "a refusal", err)
	body, typed := refusal.Model().(oms.ErrorBody)
	must(typed && body.ErrorCode == "OMS.0053", "a refusal with a body", refusal.Model())
	fmt.Println("the generated client did all of it")
}
