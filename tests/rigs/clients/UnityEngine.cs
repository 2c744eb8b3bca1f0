// As much of Unity's library as the client needs, to see that it compiles.
namespace UnityEngine
{
    public class MonoBehaviour { }
    public static class Mathf { public static float Min(float a, float b) { return a < b ? a : b; } }
    public static class Time { public static double realtimeSinceStartupAsDouble { get { return 0; } } }
    public static class Debug { public static void LogWarning(object text) { } }
}
